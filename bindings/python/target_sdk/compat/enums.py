"""Values that the Delivery API knows by name."""


class AuthenticatedState:
    """Whether a customer id was logged in."""

    UNKNOWN = "unknown"
    AUTHENTICATED = "authenticated"
    LOGGED_OUT = "logged_out"


class ChannelType:
    """Channels."""

    MOBILE = "mobile"
    WEB = "web"


class DecisioningMethod:
    """Where to decide."""

    SERVER_SIDE = "server-side"
    ON_DEVICE = "on-device"
    HYBRID = "hybrid"


class DeviceType:
    """Kinds of devices."""

    PHONE = "phone"
    TABLET = "tablet"


class ExecutionMode:
    """Where it was decided."""

    EDGE = "edge"
    LOCAL = "local"


class LoggingType:
    """Who reports to Adobe Analytics."""

    SERVER_SIDE = "server_side"
    CLIENT_SIDE = "client_side"


class MetricType:
    """Kinds of metrics."""

    CLICK = "click"
    DISPLAY = "display"


class MobilePlatformType:
    """Mobile systems."""

    ANDROID = "android"
    IOS = "ios"


class OptionType:
    """Kinds of offers."""

    HTML = "html"
    JSON = "json"
    REDIRECT = "redirect"
    DYNAMIC = "dynamic"
    ACTIONS = "actions"


class ScreenOrientationType:
    """Orientations."""

    PORTRAIT = "portrait"
    LANDSCAPE = "landscape"
