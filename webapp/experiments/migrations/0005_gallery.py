"""The gallery: its rows, and triggers that note which algorithms it has to look at again."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

# Whoever stores, changes or deletes a find, or changes what a search shows of its finds, need not know of the gallery.
TRIGGERS = """
    CREATE FUNCTION experiments_gallery_find() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO experiments_gallerychange (algorithm)
        VALUES (CASE WHEN TG_OP = 'DELETE' THEN OLD.algorithm_id ELSE NEW.algorithm_id END);
        RETURN NULL;
    END $$;

    CREATE TRIGGER experiments_gallery_find
    AFTER INSERT OR DELETE OR UPDATE OF score, select_score, final_score ON experiments_find
    FOR EACH ROW EXECUTE FUNCTION experiments_gallery_find();

    CREATE FUNCTION experiments_gallery_search() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO experiments_gallerychange (algorithm)
        SELECT DISTINCT algorithm_id FROM experiments_find WHERE search_id = NEW.id;
        RETURN NULL;
    END $$;

    CREATE TRIGGER experiments_gallery_search
    AFTER UPDATE ON experiments_search FOR EACH ROW
    WHEN ((OLD.visibility, OLD.owner_id, OLD.title, OLD.baselines)
          IS DISTINCT FROM (NEW.visibility, NEW.owner_id, NEW.title, NEW.baselines))
    EXECUTE FUNCTION experiments_gallery_search();

    CREATE FUNCTION experiments_gallery_choice() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO experiments_gallerychange (algorithm)
        SELECT algorithm_id FROM experiments_find
        WHERE id IN (OLD.best_id, NEW.best_id, OLD.result_id, NEW.result_id);
        RETURN NULL;
    END $$;

    CREATE TRIGGER experiments_gallery_choice
    AFTER UPDATE ON experiments_search FOR EACH ROW
    WHEN ((OLD.best_id, OLD.result_id) IS DISTINCT FROM (NEW.best_id, NEW.result_id))
    EXECUTE FUNCTION experiments_gallery_choice();

    INSERT INTO experiments_gallerychange (algorithm) SELECT DISTINCT algorithm_id FROM experiments_find;
"""
NO_TRIGGERS = """
    DROP TRIGGER experiments_gallery_choice ON experiments_search;
    DROP TRIGGER experiments_gallery_search ON experiments_search;
    DROP TRIGGER experiments_gallery_find ON experiments_find;
    DROP FUNCTION experiments_gallery_choice();
    DROP FUNCTION experiments_gallery_search();
    DROP FUNCTION experiments_gallery_find();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0004_evaluation"),
    ]

    operations = [
        migrations.CreateModel(
            name="GalleryChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("algorithm", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Discovery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audience", models.BigIntegerField(default=0)),
                ("canonical_version", models.PositiveSmallIntegerField()),
                ("canonical_digest", models.BinaryField(max_length=32)),
                ("score", models.FloatField()),
                ("margin", models.FloatField(null=True)),
                ("merit", models.FloatField()),
                ("size", models.PositiveSmallIntegerField()),
                ("chosen", models.BooleanField()),
                ("found_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("finds", models.PositiveIntegerField()),
                ("model", models.CharField(blank=True, max_length=80)),
                ("learns", models.BooleanField(default=True)),
                (
                    "motifs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), default=list, size=None
                    ),
                ),
                ("data", models.CharField(max_length=100)),
                (
                    "facets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=120), default=list, size=None
                    ),
                ),
                ("text", models.TextField(blank=True)),
                (
                    "words",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.contrib.postgres.search.SearchVector("text", config="simple"),
                        output_field=django.contrib.postgres.search.SearchVectorField(),
                    ),
                ),
                (
                    "algorithm",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="experiments.algorithm"
                    ),
                ),
                (
                    "find",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="experiments.find"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "discoveries",
                "indexes": [
                    models.Index(fields=["audience", "merit", "id"], name="discovery_by_merit"),
                    models.Index(fields=["audience", "score", "id"], name="discovery_by_score"),
                    models.Index(fields=["audience", "size", "id"], name="discovery_by_size"),
                    models.Index(fields=["audience", "found_at", "id"], name="discovery_by_age"),
                    models.Index(fields=["audience", "finds", "id"], name="discovery_by_finds"),
                    models.Index(fields=["audience", "data"], name="discovery_data"),
                    models.Index(
                        condition=models.Q(("chosen", True)),
                        fields=["audience", "merit", "id"],
                        name="discovery_chosen",
                    ),
                    django.contrib.postgres.indexes.GinIndex(
                        fastupdate=False, fields=["facets"], name="discovery_facets"
                    ),
                    django.contrib.postgres.indexes.GinIndex(
                        fastupdate=False, fields=["words"], name="discovery_words"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("audience", "canonical_version", "canonical_digest"), name="discovery_once_an_audience"
                    )
                ],
            },
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
