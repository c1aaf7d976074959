"""What the service tells of itself: GET /settings, /health and /.well-known/jwks.json."""

from aiohttp import web

from localbase.auth.request import AuthRequest
from localbase.auth.service import Service

_KEYS_MAX_AGE_S = 600
_PROVIDERS = (
    *("apple", "azure", "bitbucket", "discord", "facebook", "figma", "fly", "github", "gitlab", "google"),
    *("keycloak", "kakao", "linkedin", "linkedin_oidc", "notion", "spotify", "slack", "slack_oidc"),
    *("snapchat", "twitch", "twitter", "workos", "x", "zoom"),
)


async def settings(service: Service, _request: AuthRequest) -> web.Response:
    config = service.config
    external = {
        **dict.fromkeys(_PROVIDERS, False),
        "anonymous_users": config.enable_anonymous_sign_ins,
        "email": config.enable_email,
        "phone": False,
    }
    return web.json_response(
        {
            "external": dict(sorted(external.items())),
            "disable_signup": not config.enable_signup,
            "mailer_autoconfirm": not config.enable_confirmations,
            "phone_autoconfirm": False,
            "sms_provider": "",
            "saml_enabled": False,
        }
    )


async def health(_service: Service, _request: AuthRequest) -> web.Response:
    description = "GoTrue is a user registration and authentication API"
    return web.json_response({"version": "localbase", "name": "GoTrue", "description": description})


async def signing_keys(_service: Service, _request: AuthRequest) -> web.Response:
    """None: the secret of HS256 is nothing to publish."""
    response = web.json_response({"keys": []})
    response.headers["Cache-Control"] = f"public, max-age={_KEYS_MAX_AGE_S}"
    return response
