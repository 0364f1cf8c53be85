"""Labels, images and records, and the input pipeline that batches them."""
