"""The service: one bundle behind HTTP. Reaches neither training nor compression."""
