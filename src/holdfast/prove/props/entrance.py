"""Where one signs in, as a stranger finds out: what is configured, or a page with a form in the usual places."""

from holdfast.prove.props.sign_in_pages import sign_in_pages
from holdfast.prove.running import App
from holdfast.prove.sending import Request, request


async def entrance(app: App, name: str, password: str) -> Request | None:
    """What signs in at the first place that is found; None where there is none.

    What is configured is sent as it is configured, by the account that there is. On a page it is a name and a password
    that nobody has.
    """
    signing = app.config.sign_in
    if signing is not None:
        return request(signing.request, app.names)
    for page in await sign_in_pages(app, most=1):
        return page.filled(name, password)
    return None
