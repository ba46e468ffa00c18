"""How good a bundle is: measures with intervals, slices, calibration and the worst mistakes. Changes nothing."""
