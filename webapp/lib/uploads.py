"""Refuse a request that brings too much before it is read."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler, StopUpload


class BoundedUpload(FileUploadHandler):
    """The first of the upload handlers: stops at ABOVO_UPLOAD_BYTES, by the announced length or by counting."""

    received = 0

    def handle_raw_input(self, input_data, META, content_length, boundary, encoding=None):
        if content_length and content_length > settings.ABOVO_UPLOAD_BYTES:
            raise RequestDataTooBig(f"uploads of up to {settings.ABOVO_UPLOAD_BYTES:,} bytes are allowed")

    def receive_data_chunk(self, raw_data, start):
        self.received += len(raw_data)
        if self.received > settings.ABOVO_UPLOAD_BYTES:
            raise StopUpload(connection_reset=True)
        return raw_data

    def file_complete(self, file_size):
        return None
