"""The artifacts and the request that every program of the benchmark gets."""

MBOX = "homepage-hero"
AGENT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)

# `prefetch` rather than `execute`: a decision that displays causes a notification, and then a server would be measured.
REQUEST = {
    "id": {"tntId": "338e3c1e51f7416a8e1ccba4f81acea0.28_0"},
    "context": {
        "channel": "web",
        "userAgent": AGENT,
        "address": {"url": "https://www.example.com/shop/shoes?size=42#top"},
    },
    "prefetch": {
        "mboxes": [
            {"name": MBOX, "index": 1, "parameters": {"user": "Bob", "page": "shoes", "size": "42", "tier": "gold"}}
        ]
    },
}


def _rule(mbox, activity, experience, padding, by_page):
    """One experience of an A/B activity for an audience of browser, page and parameter."""
    low, high = experience * 50, experience * 50 + 50
    name = "AB"[experience]
    page = [{"in": ["shop", {"var": "page.path_lc"}]}, {"==": ["example.com", {"var": "page.domain"}]}]
    return {
        "ruleKey": f"{activity}-{experience}",
        "activityId": activity,
        "meta": {
            "activity.id": activity,
            "activity.name": f"Activity {activity}",
            "activity.type": "ab",
            "experience.id": experience,
            "experience.name": f"Experience {name}",
            "location.id": 0,
            "location.name": mbox,
            "location.type": "mbox",
            "audience.ids": [1, 2],
            "offer.id": activity * 10 + experience,
            "offer.name": f"offer {name}",
            "option.id": experience + 2,
            "option.name": f"Offer{experience + 2}",
        },
        "propertyTokens": [],
        "condition": {
            "and": [
                {"and": [{"<": [low, {"var": "allocation"}]}, {">=": [high, {"var": "allocation"}]}]},
                {"and": [{"==": ["chrome", {"var": "user.browserType"}]}, *(page if by_page else [])]},
                {"or": [{"==": ["gold", {"var": "mbox.tier_lc"}]}, {"==": ["silver", {"var": "mbox.tier_lc"}]}]},
            ]
        },
        "consequence": {
            "name": mbox,
            "options": [
                {
                    "type": "html",
                    "eventToken": "qZ5VkG0sTLcZZ9fAhUrj7WqipfsIHvVzTQxHolz2IpSCnQ9Y9OaLL2gsdrWQTvE5" + name,
                    "content": f'<div class="hero">Welcome, experience {name}</div>' + "x" * padding,
                }
            ],
            "metrics": [],
        },
    }


def artifact(activities, padding=0, by_page=True):
    """An artifact with one A/B activity for `MBOX` and `activities` others, each for an mbox of its own.

    `by_page`: whether its audience is chosen by the page's URL too.
    """
    names = [MBOX] + [f"mbox-{n}" for n in range(activities)]
    return {
        "version": "1.0.0",
        "globalMbox": "target-global-mbox",
        "geoTargetingEnabled": False,
        "responseTokens": ["activity.id", "activity.name", "experience.id", "experience.name"],
        "remoteMboxes": [],
        "remoteViews": [],
        "localMboxes": names,
        "localViews": [],
        "meta": {"clientCode": "acme", "environment": "production"},
        "rules": {
            "mboxes": {
                name: [_rule(name, 100_000 + n, experience, padding, by_page) for experience in (0, 1)]
                for n, name in enumerate(names)
            },
            "views": {},
        },
    }
