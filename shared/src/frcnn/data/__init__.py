"""Labels, images, records, and the batches made of them."""
