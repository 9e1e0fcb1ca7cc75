"""PTB-XL, the training loop, metrics, calibration and evaluation."""
