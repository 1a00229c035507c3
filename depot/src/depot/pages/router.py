"""All pages. They are for people, so the description of the API is silent about them."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import RedirectResponse

from depot.pages import account, activity, files, records, reports, sign_in
from depot.pages.destinations import HOME
from depot.pages.rendering import see_other
from depot.resources import Look
from holdfast import NotFound

router = APIRouter(include_in_schema=False)
for part in (sign_in, files, records, reports, activity, account):
    router.include_router(part.router)


@router.get("/")
async def home(request: Request) -> RedirectResponse:
    """The first page."""
    return see_other(request, HOME)


@router.get("/static/{version}/{name:path}")
async def static(version: str, name: str, pages: Look, if_none_match: Annotated[str, Header()] = "") -> Response:
    """A style sheet, script or picture; for an address of another version the one of today."""
    asset = pages.assets.get(name)
    if asset is None:
        raise NotFound
    headers = asset.headers(lasting=version == pages.assets.version)
    if asset.etag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
