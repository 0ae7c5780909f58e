"""Riemannian geometry for the latent space of any decoder."""
