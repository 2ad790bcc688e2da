"""One motif more is recognised: a learning rate made of the weights. The gallery's rows are made anew."""

from django.db import migrations

NOTE_ALL = "INSERT INTO experiments_gallerychange (algorithm) SELECT DISTINCT algorithm_id FROM experiments_find"


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0013_discovery_learning"),
    ]

    operations = [
        migrations.RunSQL(NOTE_ALL, migrations.RunSQL.noop),
    ]
