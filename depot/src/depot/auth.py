"""Who sends a request. FastAPI runs this before the handler, so that nobody unknown gets a byte stored."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from depot import accounts
from depot.models import Account
from depot.resources import Db
from holdfast import Secret, Unauthorised, set_actor

_bearer = HTTPBearer(auto_error=False, description="The token of an account: `python -m depot accounts add NAME`.")


async def sender(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)], database: Db
) -> Account:
    """The account that sends the request. Async, because it waits for the database. Raises Unauthorised."""
    if credentials is None:
        raise Unauthorised("Send `Authorization: Bearer TOKEN`.")
    account = await database.read(accounts.owner, Secret(credentials.credentials))
    if account is None:
        raise Unauthorised("The token belongs to no account.")
    set_actor(account.name)
    return account


Sender = Annotated[Account, Depends(sender)]
