import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;
import java.util.concurrent.CompletableFuture;

/** What a Java program asks by JDBC: every step prints one line of JSON. The first argument is the URL. */
public final class Client {
  interface Step {
    Object run(Connection connection) throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    Map<String, Step> steps = new LinkedHashMap<>();
    metadata(steps);
    statements(steps);
    parameters(steps);
    refusals(steps);
    try (Connection connection = DriverManager.getConnection(arguments[0])) {
      for (Map.Entry<String, Step> step : steps.entrySet()) {
        System.out.println(outcome(step.getKey(), step.getValue(), connection));
      }
    }
  }

  static String outcome(String name, Step step, Connection connection) {
    try {
      return json(Map.of("step", name, "ok", wrapped(step.run(connection))));
    } catch (Exception error) {
      return json(Map.of("step", name, "error", String.valueOf(error.getMessage())));
    }
  }

  static void metadata(Map<String, Step> steps) {
    steps.put("product", on -> on.getMetaData().getDatabaseProductName());
    steps.put("read only", on -> on.getMetaData().isReadOnly());
    steps.put("catalogs", on -> rows(on.getMetaData().getCatalogs()));
    steps.put("schemas", on -> rows(on.getMetaData().getSchemas()));
    steps.put("table types", on -> rows(on.getMetaData().getTableTypes()));
    steps.put("tables", on -> columns(on.getMetaData().getTables(null, "features", "%", null), "TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE"));
    steps.put("columns", on -> columns(on.getMetaData().getColumns(null, "features", "types", "%"), "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "ORDINAL_POSITION"));
    steps.put("primary keys", on -> rows(on.getMetaData().getPrimaryKeys(null, "features", "types")));
    steps.put("imported keys", on -> rows(on.getMetaData().getImportedKeys(null, "features", "types")));
  }

  static void statements(Map<String, Step> steps) {
    steps.put("types", on -> query(on, "SELECT * FROM features.types ORDER BY i NULLS LAST"));
    steps.put("classes", on -> classes(on, "SELECT * FROM features.types"));
    steps.put("join", on -> query(on, "SELECT a.i, b.label FROM features.types a JOIN datasets.train b ON a.i = b.id"));
    steps.put("many rows", Client::manyRows);
    steps.put("no rows", on -> query(on, "SELECT i FROM features.types WHERE false"));
    steps.put("execute", Client::execute);
    steps.put("cancel", Client::cancel);
    steps.put("after cancel", on -> query(on, "SELECT 1 AS one"));
  }

  static Object manyRows(Connection connection) throws SQLException {
    long rows = 0;
    long sum = 0;
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery("SELECT i, t FROM features.many")) {
      for (; result.next(); rows++) sum += result.getLong(1) + result.getString(2).length();
    }
    return List.of(rows, sum);
  }

  static Object execute(Connection connection) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return List.of(statement.execute("SELECT 1"), statement.getUpdateCount());
    }
  }

  static Object cancel(Connection connection) throws Exception {
    try (Statement statement = connection.createStatement()) {
      CompletableFuture<String> outcome = CompletableFuture.supplyAsync(() -> {
        try (ResultSet result = statement.executeQuery("SELECT count(*) FROM features.many a, features.many b, features.many c WHERE a.i + b.i + c.i = 7")) {
          result.next();
          return "answered";
        } catch (Exception error) {
          return "cancelled";
        }
      });
      Thread.sleep(700);
      statement.cancel();
      return outcome.get();
    }
  }

  static void parameters(Map<String, Step> steps) {
    steps.put("int parameter", on -> prepared(on, "SELECT i FROM features.types WHERE i = ?", at -> at.setInt(1, 2)));
    steps.put("two parameters", on -> prepared(on, "SELECT i FROM features.types WHERE i >= ? AND t <> ? ORDER BY i", at -> {
      at.setInt(1, 1);
      at.setString(2, "it's $1 \"two\" é🚲");
    }));
    steps.put("typed parameters", on -> prepared(on, "SELECT ?::BOOLEAN, ?::SMALLINT, ?::BIGINT, ?::DOUBLE, ?::FLOAT, ?::VARCHAR, ?::DATE", at -> {
      at.setBoolean(1, true);
      at.setShort(2, (short) -7);
      at.setLong(3, 9007199254740993L);
      at.setDouble(4, 0.1);
      at.setFloat(5, 1.5f);
      at.setString(6, "'; DROP TABLE x; --");
      at.setDate(7, Date.valueOf("2020-02-29"));
    }));
    steps.put("decimal parameter", on -> prepared(on, "SELECT i FROM features.types WHERE d = ?", at -> at.setBigDecimal(1, new BigDecimal("1234.56"))));
    // The driver sends milliseconds.
    steps.put("timestamp parameter", on -> prepared(on, "SELECT i FROM features.types WHERE date_trunc('millisecond', ts) = ?", at -> at.setTimestamp(1, Timestamp.valueOf("2026-01-02 03:04:05.678901"))));
    steps.put("null parameter", on -> prepared(on, "SELECT ?::INTEGER IS NULL", at -> at.setNull(1, Types.INTEGER)));
    steps.put("executed twice", Client::executedTwice);
    steps.put("parameter metadata", on -> {
      try (PreparedStatement statement = on.prepareStatement("SELECT i FROM features.types WHERE i = ? AND t = ?")) {
        return List.of(statement.getParameterMetaData().getParameterCount(), statement.getParameterMetaData().getParameterType(1), statement.getMetaData().getColumnName(1));
      }
    });
  }

  static Object executedTwice(Connection connection) throws Exception {
    List<Object> all = new ArrayList<>();
    try (PreparedStatement statement = connection.prepareStatement("SELECT t FROM features.types WHERE i = ?")) {
      for (int i = 1; i <= 2; i++) {
        statement.setInt(1, i);
        all.addAll(rows(statement.executeQuery()));
      }
    }
    return all;
  }

  static void refusals(Map<String, Step> steps) {
    steps.put("insert", on -> update(on, "INSERT INTO features.types VALUES (1)"));
    steps.put("create", on -> update(on, "CREATE TABLE x (a INTEGER)"));
    steps.put("syntax", on -> query(on, "SELEC 1"));
    steps.put("no table", on -> query(on, "SELECT * FROM features.nothing"));
    steps.put("no column", on -> query(on, "SELECT nothing FROM features.types"));
    steps.put("file", on -> query(on, "SELECT * FROM read_text('/etc/passwd')"));
    steps.put("late error", on -> query(on, "SELECT CAST(CASE WHEN i < 199999 THEN '1' ELSE t END AS INTEGER) FROM features.many"));
    steps.put("still there", on -> query(on, "SELECT 42 AS answer"));
  }

  interface Binder {
    void bind(PreparedStatement statement) throws SQLException;
  }

  static Object prepared(Connection connection, String sql, Binder binder) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      binder.bind(statement);
      return rows(statement.executeQuery());
    }
  }

  static Object update(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return statement.executeUpdate(sql);
    }
  }

  static Object query(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return rows(statement.executeQuery(sql));
    }
  }

  static Object classes(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery(sql)) {
      ResultSetMetaData about = result.getMetaData();
      List<Object> all = new ArrayList<>();
      for (int i = 1; i <= about.getColumnCount(); i++) {
        all.add(about.getColumnName(i) + " " + about.getColumnTypeName(i) + " " + about.getPrecision(i) + " " + about.getScale(i));
      }
      return all;
    }
  }

  static List<Object> rows(ResultSet result) throws SQLException {
    try (result) {
      int width = result.getMetaData().getColumnCount();
      List<Object> all = new ArrayList<>();
      while (result.next()) {
        List<Object> row = new ArrayList<>();
        for (int i = 1; i <= width; i++) row.add(value(result, i));
        all.add(row);
      }
      return all;
    }
  }

  static Object value(ResultSet result, int column) throws SQLException {
    Object value = result.getObject(column);
    return value instanceof byte[] bytes ? java.util.HexFormat.of().formatHex(bytes) : value;
  }

  static Object columns(ResultSet result, String... names) throws SQLException {
    try (result) {
      List<Object> all = new ArrayList<>();
      while (result.next()) {
        List<Object> row = new ArrayList<>();
        for (String name : names) row.add(result.getObject(name));
        all.add(row);
      }
      return all;
    }
  }

  static Object wrapped(Object value) {
    return value == null ? "null" : value;
  }

  static String json(Object value) {
    if (value == null) return "null";
    if (value instanceof Boolean || value instanceof Integer || value instanceof Short || value instanceof Byte) return value.toString();
    if (value instanceof List<?> list) {
      StringBuilder text = new StringBuilder("[");
      for (Object one : list) text.append(text.length() > 1 ? "," : "").append(json(one));
      return text.append("]").toString();
    }
    if (value instanceof Map<?, ?> map) {
      StringBuilder text = new StringBuilder("{");
      map.forEach((key, one) -> text.append(text.length() > 1 ? "," : "").append(json(key)).append(":").append(json(one)));
      return text.append("}").toString();
    }
    StringBuilder text = new StringBuilder("\"");
    for (char c : value.toString().toCharArray()) {
      if (c < ' ' || c > '~' || c == '"' || c == '\\') text.append(String.format("\\u%04x", (int) c));
      else text.append(c);
    }
    return text.append("\"").toString();
  }
}
