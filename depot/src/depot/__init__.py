"""The depot: files in, records and reports out. The reference backend of Holdfast.

To read it: `app` (what is served), `files` and `reports` (the routes), `resources` (what they depend on), `intake`
(what happens to a file afterwards), `reading` (how a file becomes records).
"""
