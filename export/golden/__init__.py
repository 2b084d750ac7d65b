"""Golden vectors: photos with the result of every stage, by which an app tests itself."""
