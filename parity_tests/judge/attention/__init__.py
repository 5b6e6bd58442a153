"""Properties of any attention function, and the verdict on one."""
