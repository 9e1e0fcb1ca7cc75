"""What an ECG is: leads, a Recording in mV, lead algebra, signal quality, the 71 statements. Pure."""
