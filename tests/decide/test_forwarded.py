import pytest

from holdfast.decide.forwarded import is_trusted, networks, origin

TRUSTED = networks(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "x_forwarded_for", "client"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger is not believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # what the client itself sent stands further left
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db9::1]:80", "2001:db9::1"),
        ("2001:db8::5", "2001:db9::1", "2001:db9::1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, <script>", "10.0.0.1"),
        ("10.0.0.1", ",,,", "10.0.0.1"),
        ("not an address", "198.51.100.1", "not an address"),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_not_trusted(peer, x_forwarded_for, client):
    assert origin(peer, TRUSTED, "", x_forwarded_for, "").client == client


@pytest.mark.parametrize(
    ("forwarded", "client", "secure"),
    [
        ("for=198.51.100.1;proto=https", "198.51.100.1", True),
        ('for="[2001:db9::1]:4711";proto=http', "2001:db9::1", False),
        ("for=1.1.1.1;proto=https, for=198.51.100.1;proto=http;by=10.0.0.1", "198.51.100.1", False),
        ("For=198.51.100.1", "198.51.100.1", None),
        ("for=_hidden", "10.0.0.1", None),
    ],
)
def test_forwarded_counts_before_its_forerunner(forwarded, client, secure):
    seen = origin("10.0.0.1", TRUSTED, forwarded, "9.9.9.9", "")
    assert (seen.client, seen.secure) == (client, secure)


def test_a_scheme_is_believed_through_trusted_proxies_only():
    assert origin("10.0.0.1", TRUSTED, "", "198.51.100.1", "https").secure is True
    assert origin("203.0.113.9", TRUSTED, "", "198.51.100.1", "https").secure is None


def test_without_trusted_networks_nobody_is_trusted():
    assert not is_trusted("127.0.0.1", ())


def test_a_text_that_is_no_network_is_an_error():
    with pytest.raises(ValueError, match="everyone"):
        networks(["everyone"])
