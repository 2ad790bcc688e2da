#!/usr/bin/env python
"""Django's command line: `.venv/bin/python manage.py help`."""

import os
import sys


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    from django.core.management import execute_from_command_line

    from webapp.lib.environment import read_environment_or_exit

    read_environment_or_exit()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
