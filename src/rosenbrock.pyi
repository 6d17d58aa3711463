"""The compiled function is in the module's ``__pyx_capi__``; nothing here is for Python."""
