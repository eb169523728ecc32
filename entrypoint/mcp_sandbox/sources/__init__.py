"""Servers that are no image: packages, bundles and repositories, and how one is made of them."""
