"""Data as a product.

Typed tables from any run at any stage, validation, cleaning, preparation, Parquet and metadata.

rows         the dataset's lines as typed rows, part by part; what does not parse is named
faults       what is wrong with a dataset, all in one table
schema       what a row must be: a pandera schema made from the registry of columns
validation   every fault of a run
cleaning     named steps, each of which says what it changed
preparation  labels, windows and 1 Hz means, splits that do not leak
tables       the typed tables of a run, and their Parquet
package      datapackage.json
merge        many runs as one partitioned Parquet dataset
"""
