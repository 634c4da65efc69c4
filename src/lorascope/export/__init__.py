"""Adapter -> a merged model that is proven to be what was trained and measured."""
