"""MediaPipe's ImageClassifier, through which many apps open TFLite files; in its own environment."""
