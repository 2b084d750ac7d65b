"""Registers from what museums hand over: tables, Excel workbooks, LIDO XML, IIIF manifests.

Every source becomes a table of columns and rows (`source`), columns are matched with the register's
fields (`mapping`), references to photos with files on disk (`photo_index`), and rows with both make
a register (`assemble`), which is written as the toolkit's own manifest (`output`).
"""
