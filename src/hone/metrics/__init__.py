"""Numbers with intervals; numpy alone."""
