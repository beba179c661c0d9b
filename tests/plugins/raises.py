"""A plug-in that fails while it is executed, with a reason of two lines and some markup."""

raise RuntimeError("no [/red] camera\nattached")
