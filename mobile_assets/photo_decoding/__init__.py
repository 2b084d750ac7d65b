"""How a photo's file becomes upright 8-bit sRGB; `mobile_assets.photos` is the way in.

| Module | Holds |
|---|---|
| `formats` | which files are photos, told by their first bytes |
| `limits` | the most pixels and bytes of a photo |
| `file_view` | a file without the parts that no pixel depends on |
| `jpeg`, `png`, `heif` | what stands beside the pixels: orientation, colours, which picture |
| `exif` | the orientation, and nothing else, of EXIF |
| `tiff_tags`, `tiff_blocks`, `tiff` | TIFF, strip by strip or tile by tile |
| `sample_range` | which number is white |
| `colour_tags`, `colour` | conversion to sRGB |
| `containers` | opening each format with Pillow |
| `reading` | all of it, in the order of the contract |
| `worker`, `worker_process` | the same in a process that may hang or die |
"""
