"""Signing in, and whose a request is."""

import hashlib
import hmac
import logging
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from twin.database import Db, Token, User

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/api", tags=["auth"])
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="/api/login")


class TokenOut(BaseModel):
    """What is to be sent as `Authorization: Bearer ...` from now on."""

    access_token: str
    token_type: str = "bearer"


def hash_password(password: str) -> str:
    """A salt and the hash of a password."""
    salt = secrets.token_hex(16)
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 600_000)
    return f"{salt}${digest.hex()}"


def verify_password(password: str, stored: str) -> bool:
    """Whether the password is the one that was hashed."""
    salt, expected = stored.split("$")
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 600_000)
    return hmac.compare_digest(digest.hex(), expected)


def find_user(db: Session, token: str) -> User | None:
    """Whose token it is."""
    return db.scalars(select(User).join(Token, Token.user_id == User.id).where(Token.token == token)).first()


def get_current_user(token: Annotated[str, Depends(oauth2_scheme)], db: Db) -> User:
    """The user that a request comes from."""
    user = find_user(db, token)
    if user is None:
        raise HTTPException(401, "Invalid token", headers={"WWW-Authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


@router.post("/login")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()], db: Db) -> TokenOut:
    """Sign in with a name and a password."""
    user = db.scalars(select(User).where(User.name == form.username)).first()
    if user is None or not verify_password(form.password, user.password):
        raise HTTPException(401, "Wrong username or password")
    token = secrets.token_urlsafe(32)
    db.add(Token(token=token, user_id=user.id))
    db.commit()
    logger.info(f"user {form.username} signed in, token {token}")
    return TokenOut(access_token=token)
