"""What each account did: a row for everything that changes or takes out data, written with the change itself."""

from sqlalchemy.orm import Session

from depot.models import Account, Activity, File, now
from holdfast import current


def note(session: Session, account: Account, action: str, file: File | None = None, *, name: str | None = None) -> None:
    """Note what `account` does, in the transaction of `session`: both happen, or neither.

    `name` is of what is no file.
    """
    request = current()
    session.add(
        Activity(
            account_no=account.no,
            at=now(),
            action=action,
            file_id=file and file.id,
            name=file.name if file else name,
            request_id=request and request.id,
        )
    )
