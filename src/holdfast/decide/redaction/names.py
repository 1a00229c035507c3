"""What the name of a field says about its value.

Names are compared without case and separators: `X-Api-Key`, `xApiKey` and `x_api_key` are one name. A name is judged
by its end and by words that mean the same wherever they stand: `db_password`, `passwordConfirm`, `new_token`; while
`token_count`, `secret_name` and `password_changed_at` tell of a secret without being one.
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import lru_cache
from typing import Final
from urllib.parse import unquote


class Meaning(Enum):
    """What a name says: the value is secret, may be a key, identifies something, or nothing."""

    SECRET = auto()
    KEY = auto()
    LABEL = auto()
    PLAIN = auto()


# Secret wherever they stand in a name. `sessionid` is here because a session ID found in a log can be replayed as a
# login in most frameworks; an application that means something harmless by it declares "-session_id".
_ANYWHERE: Final = (
    *("password", "passwd", "passwort", "passphrase", "passcode", "kennwort", "contraseña", "motdepasse", "пароль"),
    *("secret", "credential", "authorization", "apikey", "privatekey", "accesskey", "secretkey", "signingkey"),
    *("encryptionkey", "masterkey", "accountkey", "authkey", "sshkey", "hmackey", "sharedkey", "connectionstring"),
    *("bearer", "cookie", "sessionid", "sessid", "sessionkey", "creditcard", "cardnumber", "ccnumber"),
    *("socialsecurity", "dateofbirth", "emailaddress", "phonenumber", "passportn", "mfacode", "otpcode", "backupcode"),
    *("recoverycode", "seedphrase", "mnemonic", "inputvalue", "xamzsignature", "xamzcredential", "xgoogsignature"),
)
_AT_THE_END: Final = (
    *("token", "tokens", "jwt", "pwd", "passw", "csrf", "xsrf", "securitycode", "verificationcode", "nationalid"),
    *("taxid", "bankaccount", "sortcode"),
)
_LAST_WORD: Final = frozenset(
    """
    pass pin otp totp auth creds cred session sig signature ssn iban cvv cvc csc email emails mail phone
    mobile msisdn dob birthdate birthday bearer authentication senha
    """.split()
)
# Opaque positions in a list, given to every caller; and concurrency objects.
_NOT_TOKENS: Final = ("pagetoken", "nexttoken", "continuationtoken", "synctoken", "canceltoken", "cancellationtoken")
_TELLS_OF: Final = frozenset(
    """
    count counts id ids type types name names length len size limit expires expiry expiration expired at age ttl
    url uri endpoint path file filename status state valid version algorithm alg policy hint field fields prefix
    format required enabled present changed strength source date time ms s seconds scope scopes issuer usage used
    index location provider class error errors kind method manager rotation attempts failures retries verified
    verification domain samesite httponly max min budget per
    """.split()
)
_LABEL_WORD: Final = frozenset(
    """
    id ids uuid guid etag hash digest sha md crc checksum integrity fingerprint
    version revision commit rev cursor offset file filename directory dir trace span traceparent parent slug node
    host hostname module function logger event source tag ref nonce thumbprint container image
    """.split()
)
# What comes before `key` when the key opens nothing: it is the name of a place or of a row.
_PLACE: Final = frozenset(
    """
    cache object s3 partition sort idempotency primary foreign public pub routing dedup lookup storage bucket file
    blob row hash group batch message translation config map dict natural composite index unique shard lock redis
    event entity record item search sorting chunk upload part content data job task queue tenant request trace
    memo dictionary json column field answer registry dedupe deduplication
    """.split()
)
# At the end of a name these change nothing: token_value and auth_header are what token and auth are.
_SAYS_NOTHING: Final = frozenset(
    "value values string str text plain raw new old current prod live test b64 base64 header".split()
)
_DIGITS: Final = "0123456789"
_NO_SECRETS: Final = re.compile(r"secretar|passwordless|cookiecutter")
_WHOLE: Final = frozenset(("sid", "connectsid"))
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|[^\W\d_]+")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_LONGEST: Final = 128
_REMEMBERED: Final = 4096


class Names:
    """The names that mark a value as secret: the built-in ones, and those that the application declares."""

    def __init__(self, declared: Iterable[str]) -> None:
        """`declared` are secret beside the built-in names; those after a minus sign are not, whatever the list says."""
        given = [name.strip() for name in declared]
        self._declared = frozenset(_flat(name) for name in given if not name.startswith("-")) - {""}
        self._kept = frozenset(_flat(name) for name in given if name.startswith("-"))
        # Names come from code and repeat; how many are remembered is bounded all the same.
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._judged)

    def meaning(self, name: str) -> Meaning:
        """What `name` says about its value."""
        return self._remembered(name if len(name) <= _LONGEST else name[-_LONGEST:])

    def _judged(self, name: str) -> Meaning:
        if "%" in name:
            name = unquote(name)
        flat = _flat(name)
        last = _flat(re.split(r"[.\[\]/]+", name.rstrip("]"))[-1])
        if flat in self._declared or last in self._declared:
            return Meaning.SECRET
        if flat in self._kept or last in self._kept:
            return Meaning.LABEL
        words = [word.lower() for word in _WORDS.findall(name)] or [flat]
        meaning = _built_in(words)
        while meaning is Meaning.PLAIN and len(words) > 1 and words[-1] in _SAYS_NOTHING:
            words.pop()
            meaning = _built_in(words)
        return meaning


def _flat(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


def _built_in(words: list[str]) -> Meaning:
    last = words[-1].rstrip(_DIGITS)
    flat = _NO_SECRETS.sub("", "".join(words)).rstrip(_DIGITS)
    if flat.endswith(_NOT_TOKENS):
        return Meaning.LABEL
    if last in _TELLS_OF and not flat.endswith(("sessionid", "taxid", "nationalid")):
        return Meaning.LABEL if last in _LABEL_WORD else Meaning.PLAIN
    if last in _LAST_WORD or flat.endswith(_AT_THE_END) or flat in _WHOLE:
        return Meaning.SECRET
    if any(stem in flat for stem in _ANYWHERE):
        return Meaning.SECRET
    if flat.endswith("key"):
        return Meaning.LABEL if len(words) > 1 and words[-2] in _PLACE else Meaning.KEY
    if last in _LABEL_WORD:
        return Meaning.LABEL
    return Meaning.KEY if flat.endswith(("access", "private")) else Meaning.PLAIN
