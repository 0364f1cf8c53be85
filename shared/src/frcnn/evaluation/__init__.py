"""How good a detector is: matching, average precision, the report and its pictures."""
