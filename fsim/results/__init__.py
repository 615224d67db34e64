"""Results: records, metrics, tables, figures. Nothing here knows how a run comes about."""
