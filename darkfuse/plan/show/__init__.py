"""Plans for people and files: the paper's notation, annotated cfgs, a table, a picture."""
