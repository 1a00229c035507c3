"""The depot's pages: what people see of it in a browser, made on the server.

To read them: `router` (which pages there are), `rendering` (how one is made), `views` (what a template is given),
`sign_in` (how somebody gets in). The templates and what they look like stand in `templates/` and `static/`.
"""
