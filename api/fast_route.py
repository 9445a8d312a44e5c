"""A documented route that is served without the framework's own way to it.

Contract
- What is served here is the documented route itself: its endpoint, its path for the figures, its refusals.
- A request other than by the exact method and path is served by the framework.

Matching every route and solving dependencies for each request costs more than deciding does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.http.admission import CALLER, Scope
from api.http.error_handlers import REFUSALS, problem_of
from api.http.middleware import App, Receive, Send
from api.service import Service

Endpoint = Callable[[Request, Service, str], Awaitable[Response]]
"""Takes the request, the service and the caller's name."""


def documented_route(router: APIRouter, endpoint: Endpoint) -> APIRoute:
    """The route that documents an endpoint. Raises LookupError where none does."""
    for route in router.routes:
        if isinstance(route, APIRoute) and route.endpoint is endpoint:
            return route
    raise LookupError(f"{endpoint} is no documented route")


class DirectRoute:
    """Stands behind the middleware: calls the endpoint of one route, and hands everything else on."""

    def __init__(self, app: App, route: APIRoute) -> None:
        self.app = app
        self._route = route
        self._endpoint: Endpoint = route.endpoint
        self._path = route.path
        self._methods = frozenset(route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope.get("path") != self._path or scope.get("method") not in self._methods:
            await self.app(scope, receive, send)
            return
        scope["route"] = self._route
        try:
            response = await self._endpoint(Request(scope, receive), scope["app"].state.service, scope[CALLER].name)
        except REFUSALS as refused:
            response = problem_of(refused).response(self._path)
        await response(scope, receive, send)
