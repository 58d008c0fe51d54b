"""Where the parts are put together: the only folder that names concrete classes."""
