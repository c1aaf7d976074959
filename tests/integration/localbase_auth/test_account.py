"""What users do with their own account, by supabase-py."""

from typing import Any

import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from integration.localbase_auth.conftest import PASSWORD, Connect
from localbase.pytest_plugin import LocalStack

ANN = {"email": "ann@example.com", "password": PASSWORD}


@pytest.fixture
async def ann(auth: Any) -> Any:
    """The auth client of a signed-in user."""
    await auth.sign_up({**ANN, "options": {"data": {"name": "Ann", "age": 7}}})
    return auth


async def test_metadata_is_merged(ann: Any) -> None:
    await ann.update_user({"data": {"age": None, "color": "red"}})

    metadata = (await ann.get_user()).user.user_metadata
    assert (metadata["name"], metadata["color"]) == ("Ann", "red")
    assert "age" not in metadata


async def test_new_metadata_is_in_the_next_token(ann: Any) -> None:
    await ann.update_user({"data": {"color": "red"}})

    await ann.refresh_session()

    assert (await ann.get_claims())["claims"]["user_metadata"]["color"] == "red"


async def test_a_new_password_ends_the_other_sessions(ann: Any, connect: Connect) -> None:
    other = (await connect()).auth
    await other.sign_in_with_password(ANN)

    await ann.update_user({"password": "battery staple"})

    assert (await ann.get_user()).user
    with pytest.raises(AuthApiError, match="does not exist"):
        await other.get_user()
    with pytest.raises(AuthApiError, match="Invalid login credentials"):
        await other.sign_in_with_password(ANN)
    assert (await other.sign_in_with_password({**ANN, "password": "battery staple"})).session


async def test_a_new_password_is_another_one(ann: Any) -> None:
    with pytest.raises(AuthApiError) as caught:
        await ann.update_user({"password": PASSWORD})

    assert (caught.value.status, caught.value.code) == (422, "same_password")


async def test_a_new_password_is_strong(ann: Any) -> None:
    with pytest.raises(AuthWeakPasswordError):
        await ann.update_user({"password": "short"})


async def test_app_metadata_is_for_admins(ann: Any) -> None:
    with pytest.raises(AuthApiError) as caught:
        await ann.update_user({"app_metadata": {"role": "admin"}})

    assert (caught.value.status, caught.value.code) == (403, "not_admin")


async def test_a_new_address_waits_for_confirmation(ann: Any) -> None:
    user = (await ann.update_user({"email": "New@example.com"})).user

    assert (user.email, user.new_email) == ("ann@example.com", "new@example.com")
    assert user.email_change_sent_at is not None


async def test_a_new_address_is_nobody_elses(ann: Any, admin: Any) -> None:
    await admin.create_user({"email": "bob@example.com"})

    with pytest.raises(AuthApiError) as caught:
        await ann.update_user({"email": "bob@example.com"})

    assert (caught.value.status, caught.value.code) == (422, "email_exists")


async def test_a_token_of_a_deleted_user(ann: Any, admin: Any) -> None:
    await admin.delete_user((await ann.get_user()).user.id)

    with pytest.raises(AuthApiError) as caught:
        await ann.get_user()

    assert (caught.value.status, caught.value.code) == (403, "user_not_found")


async def test_a_key_is_no_user(ann: Any, localbase: LocalStack) -> None:
    with pytest.raises(AuthApiError, match="missing sub claim") as caught:
        await ann.get_user(localbase.anon_key)

    assert (caught.value.status, caught.value.code) == (403, "bad_jwt")
