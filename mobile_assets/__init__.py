"""What goes on the phone, and the Python twin of what the phone does with it.

The ground floor: numpy, Pillow and pydantic only, nothing of the other rooms. `local_features`
alone works with OpenCV, where that is installed.
"""
