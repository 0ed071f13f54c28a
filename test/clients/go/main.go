// Arrow's Flight and Flight SQL clients for Go, told what to do by one JSON object a line on stdin and answering each by
// one on stdout.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type request struct {
	Do          string   `json:"do"`
	Address     string   `json:"address"`
	Authority   string   `json:"authority"`
	Ticket      []byte   `json:"ticket"`
	Name        string   `json:"name"`
	Key         string   `json:"key"`
	Project     string   `json:"project"`
	Query       string   `json:"query"`
	Parameters  []string `json:"parameters"`
	TimeoutMs   int      `json:"timeoutMs"`
	CancelAfter int      `json:"cancelAfter"`
	ReceiveMax  int      `json:"receiveMax"`
}

func options(r request) ([]grpc.DialOption, error) {
	receiveMax := r.ReceiveMax
	if receiveMax == 0 {
		receiveMax = 1 << 30
	}
	channel := insecure.NewCredentials()
	if r.Authority != "" {
		pem, err := os.ReadFile(r.Authority)
		if err != nil {
			return nil, err
		}
		known := x509.NewCertPool()
		known.AppendCertsFromPEM(pem)
		channel = credentials.NewTLS(&tls.Config{RootCAs: known})
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(channel),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(receiveMax)),
	}, nil
}

// Everything that a caller sees of a stream.
func outcome(r request) (any, error) {
	dial, err := options(r)
	if err != nil {
		return nil, err
	}
	client, err := flight.NewClientWithMiddleware(r.Address, nil, nil, dial...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	if r.TimeoutMs > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.TimeoutMs)*time.Millisecond)
	}
	defer cancel()
	stream, err := client.DoGet(ctx, &flight.Ticket{Ticket: r.Ticket})
	if err != nil {
		return nil, err
	}
	messages, bytes := 0, 0
	var end error
	for {
		data, err := stream.Recv()
		if err != nil {
			end = err
			break
		}
		messages++
		bytes += len(data.DataHeader) + len(data.DataBody)
		if messages == r.CancelAfter {
			cancel()
		}
	}
	header, _ := stream.Header()
	delete(header, "date")
	trailer := stream.Trailer()
	delete(trailer, "date")
	seen := map[string]any{"messages": messages, "bytes": bytes, "header": header, "trailer": trailer, "code": "OK", "message": ""}
	if !errors.Is(end, io.EOF) {
		found, _ := status.FromError(end)
		seen["code"], seen["message"] = found.Code().String(), found.Message()
	}
	return seen, nil
}

type sql struct {
	client *flightsql.Client
	ctx    context.Context
}

// Name and key become a token, if there are any.
func connect(r request) (*sql, error) {
	dial, err := options(r)
	if err != nil {
		return nil, err
	}
	client, err := flightsql.NewClient(r.Address, nil, nil, dial...)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if r.Name != "" {
		if ctx, err = client.Client.AuthenticateBasicToken(ctx, r.Name, r.Key); err != nil {
			return nil, err
		}
	}
	if r.Project != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "eider-project", r.Project)
	}
	return &sql{client, ctx}, nil
}

// What ADBC wants of the schemas of endpoints.
func sameButMetadata(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for at, field := range a.Fields() {
		other := b.Field(at)
		if field.Name != other.Name || field.Nullable != other.Nullable || !arrow.TypeEqual(field.Type, other.Type) {
			return false
		}
	}
	return true
}

// All rows of all endpoints, as JSON.
func (s *sql) rows(info *flight.FlightInfo) (any, error) {
	schema, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	rows := []json.RawMessage{}
	for _, endpoint := range info.Endpoint {
		reader, err := s.client.DoGet(s.ctx, endpoint.Ticket)
		if err != nil {
			return nil, err
		}
		if !sameButMetadata(reader.Schema(), schema) {
			return nil, fmt.Errorf("the stream's schema is not that of its FlightInfo: %s", reader.Schema())
		}
		for reader.Next() {
			batch, err := json.Marshal(reader.RecordBatch())
			if err != nil {
				return nil, err
			}
			var some []json.RawMessage
			if err := json.Unmarshal(batch, &some); err != nil {
				return nil, err
			}
			rows = append(rows, some...)
		}
		if err := reader.Err(); err != nil {
			return nil, err
		}
		reader.Release()
	}
	return map[string]any{"rows": rows, "endpoints": len(info.Endpoint), "total": info.TotalRecords}, nil
}

func (s *sql) prepared(r request) (any, error) {
	statement, err := s.client.Prepare(s.ctx, r.Query)
	if err != nil {
		return nil, err
	}
	defer statement.Close(s.ctx)
	fields := make([]arrow.Field, len(r.Parameters))
	columns := make([]arrow.Array, len(r.Parameters))
	for at, value := range r.Parameters {
		builder := array.NewStringBuilder(memory.DefaultAllocator)
		builder.Append(value)
		fields[at] = arrow.Field{Name: fmt.Sprint(at + 1), Type: arrow.BinaryTypes.String}
		columns[at] = builder.NewArray()
	}
	statement.SetParameters(array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, 1))
	info, err := statement.Execute(s.ctx)
	if err != nil {
		return nil, err
	}
	return s.rows(info)
}

func (s *sql) tables() (any, error) {
	info, err := s.client.GetTables(s.ctx, &flightsql.GetTablesOpts{})
	if err != nil {
		return nil, err
	}
	return s.rows(info)
}

func answer(r request) (any, error) {
	if r.Do == "outcome" {
		return outcome(r)
	}
	session, err := connect(r)
	if err != nil {
		return nil, err
	}
	defer session.client.Close()
	switch r.Do {
	case "query":
		info, err := session.client.Execute(session.ctx, r.Query)
		if err != nil {
			return nil, err
		}
		return session.rows(info)
	case "prepared":
		return session.prepared(r)
	case "tables":
		return session.tables()
	}
	return nil, fmt.Errorf("there is no %q", r.Do)
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		var asked request
		said := map[string]any{}
		if err = json.Unmarshal([]byte(line), &asked); err == nil {
			said["ok"], err = answer(asked)
		}
		if err != nil {
			kind := strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
			if found, known := status.FromError(err); known {
				kind = found.Code().String()
			}
			said = map[string]any{"error": kind, "message": err.Error()}
		}
		out, _ := json.Marshal(said)
		fmt.Println(string(out))
	}
}
