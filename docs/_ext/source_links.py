"""Links from the source of a name back to where it is documented.

viewcode takes all names of a file to be documented in one module. But of the files behind
`lbfgsb.diagnostics` the functions are documented in `lbfgsb`.
"""

import re

_BACK = re.compile(r'(?<=class="viewcode-back" href=")([^"#]*#)([^"]*)')


def mend(app, pagename, templatename, context, doctree):
    """Give each link the anchor of the class that the file defines; a hook of Sphinx."""
    if not pagename.startswith("_modules/lbfgsb/"):
        return
    objects = app.env.get_domain("py").objects
    module = pagename.removeprefix("_modules/").replace("/", ".")

    def anchor(link):
        page, name = link.groups()
        if name not in objects:
            name = objects[f"{module}.{name.rpartition('.')[2]}"].node_id
        return page + name

    context["body"] = _BACK.sub(anchor, context["body"])


def setup(app):
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True}
