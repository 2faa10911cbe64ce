"""A request as the models of Adobe's Python SDK, which is what its users write."""

from delivery_api_client import Address, Context, DeliveryRequest, MboxRequest, PrefetchRequest, VisitorId


def model(request):
    context = request["context"]
    return DeliveryRequest(
        id=VisitorId(tnt_id=request["id"]["tntId"]),
        context=Context(
            channel=context["channel"],
            user_agent=context["userAgent"],
            address=Address(url=context["address"]["url"]) if "address" in context else None,
        ),
        prefetch=PrefetchRequest(
            mboxes=[
                MboxRequest(name=mbox["name"], index=mbox["index"], parameters=mbox["parameters"])
                for mbox in request["prefetch"]["mboxes"]
            ]
        ),
    )
