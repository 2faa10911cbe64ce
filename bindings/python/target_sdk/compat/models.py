"""The objects of the Delivery API, with the names that Adobe's `delivery_api_client` has for them.

Attributes are in snake_case; `to_dict()` gives them as a dict, as there. Unlike there, nothing is checked here: the
library says what is wrong with a request, and where. Newer members of the API follow behind the older ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Optional, Union

from ._model import Model
from .enums import (
    AuthenticatedState,
    ChannelType,
    DecisioningMethod,
    DeviceType,
    ExecutionMode,
    LoggingType,
    MetricType,
    MobilePlatformType,
    OptionType,
    ScreenOrientationType,
)

__all__ = [
    "Action",
    "Address",
    "AnalyticsPayload",
    "AnalyticsRequest",
    "AnalyticsResponse",
    "Application",
    "AudienceManager",
    "AuthenticatedState",
    "Browser",
    "ChannelType",
    "ClientHints",
    "Context",
    "CustomerId",
    "DecisioningMethod",
    "DeliveryRequest",
    "DeliveryResponse",
    "DeviceType",
    "ExecuteRequest",
    "ExecuteResponse",
    "ExecutionMode",
    "ExperienceCloud",
    "Geo",
    "LoggingType",
    "MboxRequest",
    "MboxResponse",
    "Metric",
    "MetricType",
    "MobilePlatform",
    "MobilePlatformType",
    "Model",
    "ModelProperty",
    "Notification",
    "NotificationMbox",
    "NotificationPageLoad",
    "NotificationResponse",
    "NotificationView",
    "Option",
    "OptionType",
    "Order",
    "PageLoadResponse",
    "PrefetchMboxResponse",
    "PrefetchRequest",
    "PrefetchResponse",
    "Preview",
    "Product",
    "QAMode",
    "QAModePreviewIndex",
    "RequestDetails",
    "Screen",
    "ScreenOrientationType",
    "Telemetry",
    "TelemetryEntry",
    "TelemetryFeatures",
    "TelemetryRequest",
    "Trace",
    "UnexpectedError",
    "View",
    "ViewRequest",
    "VisitorId",
    "Window",
]


@dataclass
class Action(Model):
    """A change to the page."""

    type: Optional[str] = None
    selector: Optional[str] = None
    css_selector: Optional[str] = None
    content: Any = None


@dataclass
class Address(Model):
    """Where the visitor is, and came from."""

    url: Optional[str] = None
    referring_url: Optional[str] = None


@dataclass
class AnalyticsPayload(Model):
    """What Adobe Analytics is told."""

    pe: Optional[str] = None
    tnta: Optional[str] = None


@dataclass
class AnalyticsRequest(Model):
    """How Adobe Analytics is told."""

    supplemental_data_id: Optional[str] = None
    logging: Optional[str] = None
    tracking_server: Optional[str] = None
    tracking_server_secure: Optional[str] = None


@dataclass
class AnalyticsResponse(Model):
    """For Adobe Analytics, reported by the client."""

    payload: Optional[AnalyticsPayload] = None


@dataclass
class Application(Model):
    """The application of a mobile visitor."""

    id: Optional[str] = None
    name: Optional[str] = None
    version: Optional[str] = None


@dataclass
class AudienceManager(Model):
    """Location and profile of Audience Manager."""

    location_hint: Optional[int] = None
    blob: Optional[str] = None


@dataclass
class Browser(Model):
    """The browser."""

    host: Optional[str] = None
    language: Optional[str] = None
    web_gl_renderer: Optional[str] = None


@dataclass
class ClientHints(Model):
    """The browser's client hints."""

    mobile: Optional[bool] = None
    model: Optional[str] = None
    platform: Optional[str] = None
    platform_version: Optional[str] = None
    browser_ua_with_major_version: Optional[str] = None
    browser_ua_with_full_version: Optional[str] = None
    architecture: Optional[str] = None
    bitness: Optional[str] = None


@dataclass
class Context(Model):
    """How and where the visitor is."""

    channel: Optional[str] = None
    mobile_platform: Optional[MobilePlatform] = None
    application: Optional[Application] = None
    screen: Optional[Screen] = None
    window: Optional[Window] = None
    browser: Optional[Browser] = None
    address: Optional[Address] = None
    geo: Optional[Geo] = None
    time_offset_in_minutes: Optional[float] = None
    user_agent: Optional[str] = None
    beacon: Optional[bool] = None
    client_hints: Optional[ClientHints] = None


@dataclass
class CustomerId(Model):
    """An id of the host's own for the visitor."""

    id: Optional[str] = None
    integration_code: Optional[str] = None
    authenticated_state: Optional[str] = None


@dataclass
class DeliveryRequest(Model):
    """A request of the Delivery API."""

    request_id: Optional[str] = None
    impression_id: Optional[str] = None
    id: Optional[VisitorId] = None
    environment_id: Optional[int] = None
    _property: Optional[ModelProperty] = None
    trace: Optional[Trace] = None
    context: Optional[Context] = None
    experience_cloud: Optional[ExperienceCloud] = None
    execute: Optional[ExecuteRequest] = None
    prefetch: Optional[PrefetchRequest] = None
    telemetry: Optional[Telemetry] = None
    notifications: Optional[List[Notification]] = None
    qa_mode: Optional[QAMode] = None
    preview: Optional[Preview] = None


@dataclass
class DeliveryResponse(Model):
    """An answer of the Delivery API."""

    status: Optional[int] = None
    request_id: Optional[str] = None
    id: Optional[VisitorId] = None
    client: Optional[str] = None
    edge_host: Optional[str] = None
    execute: Optional[ExecuteResponse] = None
    prefetch: Optional[PrefetchResponse] = None
    notifications: Optional[List[NotificationResponse]] = None
    telemetry_server_token: Optional[str] = None


@dataclass
class ExecuteRequest(Model):
    """What to decide now."""

    page_load: Optional[RequestDetails] = None
    mboxes: Optional[List[MboxRequest]] = None


@dataclass
class ExecuteResponse(Model):
    """What was decided now."""

    page_load: Optional[PageLoadResponse] = None
    mboxes: Optional[List[MboxResponse]] = None


@dataclass
class ExperienceCloud(Model):
    """Other products of the Experience Cloud."""

    audience_manager: Optional[AudienceManager] = None
    analytics: Optional[AnalyticsRequest] = None


@dataclass
class Geo(Model):
    """Where on earth."""

    ip_address: Optional[str] = None
    latitude: Optional[float] = None
    longitude: Optional[float] = None
    country_code: Optional[str] = None
    state_code: Optional[str] = None
    city: Optional[str] = None
    zip: Optional[str] = None


@dataclass
class MboxRequest(Model):
    """An mbox asked for."""

    address: Optional[Address] = None
    parameters: Optional[Dict[str, str]] = None
    profile_parameters: Optional[Dict[str, str]] = None
    order: Optional[Order] = None
    product: Optional[Product] = None
    index: Optional[int] = None
    name: Optional[str] = None


@dataclass
class MboxResponse(Model):
    """An mbox decided."""

    index: Optional[int] = None
    name: Optional[str] = None
    options: Optional[List[Option]] = None
    metrics: Optional[List[Metric]] = None
    analytics: Optional[AnalyticsResponse] = None
    trace: Optional[Dict[str, Any]] = None


@dataclass
class Metric(Model):
    """What to report, and its token."""

    type: Optional[str] = None
    selector: Optional[str] = None
    event_token: Optional[str] = None
    analytics: Optional[AnalyticsResponse] = None


@dataclass
class MobilePlatform(Model):
    """The mobile device."""

    device_name: Optional[str] = None
    device_type: Optional[str] = None
    platform_type: Optional[str] = None
    version: Optional[str] = None


@dataclass
class ModelProperty(Model):
    """The property that activities are limited to."""

    token: Optional[str] = None


@dataclass
class Notification(Model):
    """Something shown or clicked."""

    address: Optional[Address] = None
    parameters: Optional[Dict[str, str]] = None
    profile_parameters: Optional[Dict[str, str]] = None
    order: Optional[Order] = None
    product: Optional[Product] = None
    id: Optional[str] = None
    impression_id: Optional[str] = None
    type: Optional[str] = None
    timestamp: Optional[int] = None
    tokens: Optional[List[str]] = None
    mbox: Optional[NotificationMbox] = None
    view: Optional[NotificationView] = None
    page_load: Optional[NotificationPageLoad] = None


@dataclass
class NotificationMbox(Model):
    """The mbox of a notification."""

    name: Optional[str] = None
    state: Optional[str] = None


@dataclass
class NotificationPageLoad(Model):
    """The page load of a notification."""

    state: Optional[str] = None


@dataclass
class NotificationResponse(Model):
    """A notification accepted."""

    id: Optional[str] = None
    trace: Optional[Dict[str, Any]] = None


@dataclass
class NotificationView(Model):
    """The view of a notification."""

    name: Optional[str] = None
    key: Optional[str] = None
    state: Optional[str] = None


@dataclass
class Option(Model):
    """An offer."""

    type: Optional[str] = None
    content: Any = None
    event_token: Optional[str] = None
    response_tokens: Optional[Dict[str, Any]] = None


@dataclass
class Order(Model):
    """An order."""

    id: Optional[str] = None
    total: Optional[float] = None
    purchased_product_ids: Optional[List[str]] = None
    time: Optional[Union[str, datetime]] = None
    experience_local_id: Optional[int] = None
    duplicate: Optional[bool] = None
    outlier: Optional[bool] = None


@dataclass
class PageLoadResponse(Model):
    """The page load decided."""

    options: Optional[List[Option]] = None
    metrics: Optional[List[Metric]] = None
    analytics: Optional[AnalyticsResponse] = None
    state: Optional[str] = None
    trace: Optional[Dict[str, Any]] = None


@dataclass
class PrefetchMboxResponse(Model):
    """An mbox to show later."""

    index: Optional[int] = None
    name: Optional[str] = None
    options: Optional[List[Option]] = None
    metrics: Optional[List[Metric]] = None
    analytics: Optional[AnalyticsResponse] = None
    trace: Optional[Dict[str, Any]] = None
    state: Optional[str] = None


@dataclass
class PrefetchRequest(Model):
    """What to decide for later."""

    views: Optional[List[ViewRequest]] = None
    page_load: Optional[RequestDetails] = None
    mboxes: Optional[List[MboxRequest]] = None


@dataclass
class PrefetchResponse(Model):
    """What was decided for later."""

    views: Optional[List[View]] = None
    page_load: Optional[PageLoadResponse] = None
    mboxes: Optional[List[PrefetchMboxResponse]] = None
    metrics: Optional[List[Metric]] = None


@dataclass
class Preview(Model):
    """A preview."""

    token: Optional[str] = None


@dataclass
class Product(Model):
    """A product."""

    id: Optional[str] = None
    category_id: Optional[str] = None


@dataclass
class QAMode(Model):
    """Quality assurance mode."""

    token: Optional[str] = None
    listed_activities_only: Optional[bool] = None
    evaluate_as_true_audience_ids: Optional[List[int]] = None
    evaluate_as_false_audience_ids: Optional[List[int]] = None
    preview_indexes: Optional[List[QAModePreviewIndex]] = None


@dataclass
class QAModePreviewIndex(Model):
    """An experience to see in QA mode."""

    activity_index: Optional[int] = None
    experience_index: Optional[int] = None


@dataclass
class RequestDetails(Model):
    """The page load asked for, or what mboxes and views have in common."""

    address: Optional[Address] = None
    parameters: Optional[Dict[str, str]] = None
    profile_parameters: Optional[Dict[str, str]] = None
    order: Optional[Order] = None
    product: Optional[Product] = None


@dataclass
class Screen(Model):
    """The screen."""

    width: Optional[float] = None
    height: Optional[float] = None
    color_depth: Optional[float] = None
    pixel_ratio: Optional[float] = None
    orientation: Optional[str] = None


@dataclass
class Telemetry(Model):
    """Measurements."""

    entries: Optional[List[TelemetryEntry]] = None


@dataclass
class TelemetryEntry(Model):
    """One measurement."""

    request_id: Optional[str] = None
    timestamp: Optional[int] = None
    execution: Optional[float] = None
    features: Optional[TelemetryFeatures] = None
    mode: Optional[str] = None
    parsing: Optional[float] = None
    request: Optional[TelemetryRequest] = None
    telemetry_server_token: Optional[str] = None


@dataclass
class TelemetryFeatures(Model):
    """What was measured."""

    decisioning_method: Optional[str] = None
    execute_mbox_count: Optional[int] = None
    execute_page_load: Optional[bool] = None
    prefetch_mbox_count: Optional[int] = None
    prefetch_page_load: Optional[bool] = None
    prefetch_view_count: Optional[int] = None


@dataclass
class TelemetryRequest(Model):
    """Where the time of a request went."""

    dns: Optional[float] = None
    tls: Optional[float] = None
    time_to_first_byte: Optional[float] = None
    download: Optional[float] = None
    response_size: Optional[int] = None


@dataclass
class Trace(Model):
    """Asks for a trace."""

    authorization_token: Optional[str] = None
    usage: Optional[Dict[str, str]] = None


@dataclass
class UnexpectedError(Model):
    """What the Delivery API says of a failure."""

    status: Optional[int] = None
    message: Optional[str] = None


@dataclass
class View(Model):
    """A view decided."""

    name: Optional[str] = None
    key: Optional[str] = None
    options: Optional[List[Option]] = None
    metrics: Optional[List[Metric]] = None
    analytics: Optional[AnalyticsResponse] = None
    state: Optional[str] = None
    trace: Optional[Dict[str, Any]] = None


@dataclass
class ViewRequest(Model):
    """A view asked for."""

    address: Optional[Address] = None
    parameters: Optional[Dict[str, str]] = None
    profile_parameters: Optional[Dict[str, str]] = None
    order: Optional[Order] = None
    product: Optional[Product] = None
    name: Optional[str] = None
    key: Optional[str] = None


@dataclass
class VisitorId(Model):
    """Who the visitor is."""

    tnt_id: Optional[str] = None
    third_party_id: Optional[str] = None
    marketing_cloud_visitor_id: Optional[str] = None
    customer_ids: Optional[List[CustomerId]] = None


@dataclass
class Window(Model):
    """The window."""

    width: Optional[float] = None
    height: Optional[float] = None
