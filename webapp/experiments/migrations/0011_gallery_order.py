"""The gallery's order has changed: what was tested on unseen tasks comes first. Its rows are made anew."""

from django.db import migrations

NOTE_ALL = "INSERT INTO experiments_gallerychange (algorithm) SELECT DISTINCT algorithm_id FROM experiments_find"


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0010_curve_levels"),
    ]

    operations = [migrations.RunSQL(NOTE_ALL, migrations.RunSQL.noop)]
