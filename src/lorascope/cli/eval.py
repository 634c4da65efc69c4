def evaluate()->None:
    """x"""
