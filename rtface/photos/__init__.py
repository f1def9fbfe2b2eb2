"""A folder of photos and the faces in them."""
