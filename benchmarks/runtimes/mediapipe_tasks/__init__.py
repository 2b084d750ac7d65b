"""MediaPipe's ImageClassifier, which many apps open TFLite files with; in its own environment."""
