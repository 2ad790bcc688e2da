from django.db import migrations, models
from django.db.models import Q

# What is stored already gets levels by PostgreSQL's own hash: a half has 0, a quarter 1, … (the number of trailing zeros).
LEVELS = """
    UPDATE experiments_curvepoint SET level = drawn.level
    FROM (SELECT island_id, individuals, log(2, (bits & -bits)::numeric)::smallint AS level
          FROM (SELECT island_id, individuals,
                       (hashint8extended(individuals, island_id) & 1073741823 | 1073741824) AS bits
                FROM experiments_curvepoint) AS hashed) AS drawn
    WHERE experiments_curvepoint.island_id = drawn.island_id
      AND experiments_curvepoint.individuals = drawn.individuals AND drawn.level > 0
"""


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0009_hurdle_counts"),
    ]

    operations = [
        migrations.AddField(
            model_name="curvepoint",
            name="level",
            field=models.SmallIntegerField(default=0, db_default=0),
        ),
        migrations.RunSQL(LEVELS, migrations.RunSQL.noop),
        *(
            migrations.AddIndex(
                model_name="curvepoint",
                index=models.Index(
                    fields=["island", "individuals"], name=f"curve_from_level_{level}", condition=Q(level__gte=level)
                ),
            )
            for level in (4, 8, 12)
        ),
    ]
