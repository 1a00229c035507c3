"""The shop on Django, as its `asgi.py` would have it."""

import json

import django
import shelf
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path, reverse
from django.utils.decorators import async_only_middleware
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{__name__}.open_shop",
    ],
    SECRET_KEY="only for these tests",
    USE_TZ=True,
)
django.setup()

opened = shelf.opened()


@async_only_middleware
def open_shop(get_response):
    async def with_header(request):
        response = await get_response(request)
        response["x-shop"] = "open"
        return response

    return with_header


@csrf_exempt
@require_http_methods(["GET", "HEAD", "PUT"])
async def item(request, item_id):
    if request.method == "PUT":
        return JsonResponse({"id": item_id, **json.loads(request.body)})
    shelf.log.info("item read", extra={"item": item_id})
    return JsonResponse({"id": item_id, "opened": opened})


@require_GET
async def seen_request(request):
    things = request.headers.get("x-thing", "")
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": request.META["QUERY_STRING"],
            "things": things.split(",") if things else [],
            "long": max(len(value) for value in request.headers.values()),
        }
    )


async def url(request):
    return JsonResponse({"url": request.build_absolute_uri(reverse("item", args=["7"]))})


async def own(request, status):
    return JsonResponse({"error": "ours"}, status=status)


async def breaks(request):
    raise RuntimeError("the shelf fell down")


async def half(request):
    return StreamingHttpResponse(shelf.half())


async def empty(request):
    return HttpResponse(status=204)


async def same(request):
    return HttpResponse(status=304, headers={"etag": '"same"'})


async def cookies(request):
    response = JsonResponse({})
    response.set_cookie("tea", "green")
    response.set_cookie("cup", "large")
    return response


async def large(request):
    return JsonResponse({}, headers={"x-large": shelf.LARGE})


def thread(request):
    shelf.log.info("from a thread")
    return JsonResponse({})


async def meet(request, name):
    await shelf.meet(name)
    return JsonResponse({})


@csrf_exempt
@require_POST
async def upload(request, key):
    received = shelf.Received(key)
    while piece := request.read(65_536):
        received.add(piece)
    return JsonResponse(received.result)


@csrf_exempt
@require_POST
async def held(request, key):
    received = shelf.Received(key)
    received.add(request.read(65_536))
    await shelf.released(key)
    while piece := request.read(65_536):
        received.add(piece)
    return JsonResponse(received.result)


@csrf_exempt
@require_POST
async def guarded(request):
    return JsonResponse({"error": "who are you?"}, status=401)


async def stream(request, key):
    return StreamingHttpResponse(shelf.first_and_last(key))


async def flood(request, key):
    return StreamingHttpResponse(shelf.flood(key))


async def ticks(request, key):
    return StreamingHttpResponse(shelf.ticks(key))


async def wait(request, key):
    return JsonResponse({"text": await shelf.waited(key)})


async def events(request, key):
    async def sent():
        yield "data: one\n\n"
        await shelf.released(key)
        yield "data: two\n\n"

    return StreamingHttpResponse(sent(), content_type="text/event-stream")


async def slow(request):
    return StreamingHttpResponse(shelf.slow())


async def hello(request, name):
    return JsonResponse({"hello": name})


async def seen(request, key):
    return JsonResponse({"seen": shelf.seen.get(key)})


@csrf_exempt
@require_POST
async def release(request, key):
    shelf.release(key)
    return JsonResponse({})


urlpatterns = [
    path("items/<str:item_id>", item, name="item"),
    path("request", seen_request),
    path("url", url),
    path("own/<int:status>", own),
    path("breaks", breaks),
    path("half", half),
    path("empty", empty),
    path("same", same),
    path("cookies", cookies),
    path("large", large),
    path("thread", thread),
    path("meet/<str:name>", meet),
    path("upload/<str:key>", upload),
    path("held/<str:key>", held),
    path("guarded", guarded),
    path("stream/<str:key>", stream),
    path("flood/<str:key>", flood),
    path("ticks/<str:key>", ticks),
    path("wait/<str:key>", wait),
    path("events/<str:key>", events),
    path("slow", slow),
    path("sub/", include([path("hello/<str:name>", hello)])),
    path("seen/<str:key>", seen),
    path("release/<str:key>", release),
]

app = get_asgi_application()
