"""How the keys of vendors look.

Vendors give their keys a prefix so that a leaked one can be recognised. A row has such prefixes, separated by blanks,
and the pattern of what follows. Every pattern is linear: no repetition inside a repetition.
"""

import re
from collections.abc import Iterable
from typing import Final

_W: Final = r"[A-Za-z0-9]"
_D: Final = r"[A-Za-z0-9_-]"
_H: Final = r"[0-9a-fA-F]"
_B: Final = r"[A-Za-z0-9+/=_-]"

# Prefixes that nothing else begins with; they count after `_` and `-` too, as in MY_TOKEN_ghp_...
_STRONG: Final = (
    # clouds
    ("AKIA ASIA ABIA ACCA AGPA AIDA AROA AIPA ANPA ANVA", r"[A-Z0-9]{16}\b"),
    ("ABSK bedrock-api-key-", _B + r"{40,}"),
    ("AIza", _D + r"{30,}"),
    ("ya29.", r"[A-Za-z0-9_.-]{20,}"),
    ("GOCSPX-", _D + r"{20,}"),
    ("1//0", _D + r"{30,}"),
    ("LTAI AKID AKLT", _W + r"{12,}"),
    ("dop_v1_ doo_v1_ dor_v1_", _H + r"{40,}"),
    ("AQVN y0_ HRKU-", _D + r"{30,}"),
    ("fo1_ fm1_ fm1a_ fm1r_ fm2_", r"[A-Za-z0-9_+/=,-]{30,}"),
    ("FlyV1", r" [A-Za-z0-9_+/=,-]{30,}"),
    ("nfp_ nfc_ nfo_ nfu_ nfb_ vcp_ vck_ vca_ vci_ vcr_", _W + r"{20,}"),
    ("v1.0-", _H + r"{24,64}-" + _H + r"{100,}"),
    # code and builds
    ("ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", _D + r"{20,}"),
    ("glpat- gldt- glptt- glft- glsoat- glrt- glrtr- glcbt- glagent- glimt- gloas- glffct- glwt-", r"[\w.-]{16,}"),
    ("GR1348941", _D + r"{20,}"),
    ("ATATT3 ATCTT3 ATSTT3 ATBB BBDC- ATTA", _B + r"{20,}"),
    ("npm_ pnu_ pnb_ bkua_ bkct_ bkaj_", _W + r"{30,}"),
    ("pypi-", _D + r"{50,}"),
    ("rubygems_ pul- sqp_ squ_ sqa_ dapi dkea dose", _H + r"{32,}"),
    ("CLOJARS_ AKCp cmVmdGtuO", _W + r"{40,}"),
    ("dckr_pat_ dckr_oat_ CCIPAT_ CCIPRJ_", _D + r"{20,}"),
    ("sgp_ sgd_ slk_ PMAK- figd_ figo_ figh_ rdme_", _D + r"{30,}"),
    # talk
    (
        "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xoxc- xoxd- xoxe. xapp- xwfp-",
        r"(?=[A-Za-z.-]{0,6}\d)[A-Za-z0-9%+/=.-]{10,}",
    ),
    ("SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    ("xkeysib- xsmtpsib- pat-na1- pat-na2- pat-eu1- pat-ap1-", _D + r"{30,}"),
    # money
    ("sk_live_ sk_test_ rk_live_ rk_test_ whsec_ sk_prod_ pk_live_ pk_test_", r"[A-Za-z0-9+/=]{10,}"),
    ("sq0atp- sq0csp- sq0idp-", _D + r"{20,}"),
    ("EAAA EAAC EAAB EAAG EAAE", _D + r"{40,}"),
    ("access_token$production$ access_token$sandbox$", r"[0-9a-z]{16}\$" + _H + r"{32}"),
    ("access-sandbox- access-development- access-production-", _D + r"{30,}"),
    ("shpat_ shpca_ shppa_ shpss_ shprt_", _H + r"{32}"),
    ("EZAK EZTK", _W + r"{50,}"),
    ("FLWSECK- FLWSECK_TEST- FLWPUBK- FLWPUBK_TEST-", _W + r"{12,}(?:-X)?"),
    ("AQE", r"[A-Za-z0-9+/=_-]{50,}"),
    ("duffel_live_ duffel_test_ shippo_live_ shippo_test_", _B + r"{30,}"),
    # models
    ("sk-proj- sk-ant- sk-or- sk-svcacct- sk-admin- sk-lf-", _D + r"{20,}"),
    ("gsk_ xai- hf_ api_org_ r8_ pplx- nvapi- fw_ tgp_v1_ tvly- jina_ pcsk_ lsv2_pt_ lsv2_sk_", _D + r"{20,}"),
    # keeping watch
    ("glc_ glsa_ sntrys_ sntryu_ sntryi_", _B + r"{20,}"),
    ("eyJrIjoi", r"[A-Za-z0-9+/=]{40,}"),
    ("NRAK- NRII- NRJS- NRRA- NRIQ- NRSP NRBR-", _D + r"{15,}"),
    ("dt0c01. dt0s01. dt0s16.", r"[A-Z0-9]{8,24}\.[A-Z0-9]{40,}"),
    ("hcaik_ hcalk_ hcamk_ hcbik_ hcxik_ phx_", _W + r"{30,}"),
    # keeping secrets
    ("hvs. hvb. hvr.", _D + r"{20,}"),
    ("dp.pt. dp.ct. dp.sa. dp.scim. dp.audit.", _W + r"{20,}"),
    ("dp.st.", r"(?:[a-z0-9_-]{1,35}\.)?" + _W + r"{40,}"),
    ("AGE-SECRET-KEY-", r"[A-Z0-9]{40,}"),
    ("ops_eyJ", _B + r"{40,}"),
    ("sha256~", _D + r"{43}"),
    # data and the rest
    ("pscale_tkn_ pscale_pw_ pscale_oauth_", r"[\w=.-]{20,}"),
    ("sbp_ sb_secret_ napi_ mdb_sa_sk_ essu_ tskey- tk-us- lin_api_ lin_oauth_ ntn_", _D + r"{20,}"),
    ("tfp_", r"[A-Za-z0-9_.=-]{30,}"),
    ("CFPAT- fio-u- apify_api_ scp-live- sm_aat_ sm_pat_ sm_sat_ aio_", _D + r"{16,}"),
    ("sk.eyJ tk.eyJ pk.eyJ", r"[\w-]{20,}\.[\w-]{16,}"),
    ("s-s4t2ud- s-s4t2af- u-s4t2ud- u-s4t2af-", _H + r"{64}"),
    ("VF.DM. VF.WS.", r"[\w-]{16,}\.[\w-]{12,}"),
    ("AAAAAAAAAAAAAAAAAAAAA", r"[A-Za-z0-9%]{30,}"),
)
# Prefixes that are also parts of ordinary words: they count only where nothing is joined to them on the left.
_WEAK: Final = (
    ("sk-", _D + r"{20,}"),
    ("key-", _H + r"{32}\b"),
    ("SK", _H + r"{32}\b"),
    ("00D", r"[A-Za-z0-9]{12,15}![\w.]{50,}"),
    ("pk_", r"\d{5,10}_[A-Z0-9]{32}"),
    ("1000.", _H + r"{32}\." + _H + r"{32}"),
    ("BBFF- BBUS-", _W + r"{30,}"),
    ("SCW", r"[A-Z0-9]{17}\b"),
    ("t1.", r"[A-Z0-9a-z_-]{20,}={0,2}\.[A-Z0-9a-z_-]{40,}={0,2}"),
    ("cio", _W + r"{32}\b"),
    ("oy2", r"[a-z0-9]{43}\b"),
    ("re_", r"[A-Za-z0-9]{6,}_[A-Za-z0-9]{20,}"),
    ("md-", _D + r"{22}"),
    ("live_ test_", _D + r"{30,}"),
    ("fc- secret_ p8e-", _W + r"{30,}"),
    ("s.", _W + r"{24}\b"),
    ("A3-", r"[A-Z0-9]{6}-[A-Z0-9-]{20,}"),
    ("pat", _W + r"{14}\." + _H + r"{64}"),
    ("pat.", r"[\w-]{20,}\.[\w.]{20,}"),
    ("sl.", _B + r"{100,}"),
    ("ico-", _W + r"{32}\b"),
    ("sdk- mob- api-", r"(?:" + _H + r"{4,8}-){4}" + _H + r"{12}"),
)


def _one_of(rows: Iterable[tuple[str, str]], before: str) -> re.Pattern[str]:
    """One pattern for all rows, its branches gathered by first character so that few are tried at any place."""
    by_first: dict[str, list[str]] = {}
    for prefixes, rest in rows:
        for prefix in prefixes.split(" "):
            if prefix:
                by_first.setdefault(prefix[0], []).append(re.escape(prefix[1:]) + rest)
    branches = "|".join(f"{re.escape(first)}(?:{'|'.join(tails)})" for first, tails in by_first.items())
    return re.compile(f"{before}(?:{branches})")


STRONG: Final = _one_of(_STRONG, r"(?<![A-Za-z0-9])")
WEAK: Final = _one_of(_WEAK, r"(?<![\w.-])")
