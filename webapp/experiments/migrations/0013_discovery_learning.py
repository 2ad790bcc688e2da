"""Titles tell more ways to learn apart, and the engine names linear models with a bias as pages do. The gallery's rows are made anew."""

from django.db import migrations, models

NOTE_ALL = "INSERT INTO experiments_gallerychange (algorithm) SELECT DISTINCT algorithm_id FROM experiments_find"


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0012_bundles"),
    ]

    operations = [
        migrations.RemoveField(model_name="discovery", name="learns"),
        migrations.AddField(
            model_name="discovery", name="learning", field=models.CharField(blank=True, default="other", max_length=40)
        ),
        migrations.AlterField(
            model_name="discovery", name="learning", field=models.CharField(blank=True, max_length=40)
        ),
        migrations.RunSQL(NOTE_ALL, migrations.RunSQL.noop),
    ]
