"""TODO export/tflite."""
